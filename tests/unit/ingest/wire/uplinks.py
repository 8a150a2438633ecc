"""An uplink event as ChirpStack writes it: in protobuf, made with the vendor's own classes (PyPI `chirpstack-api` 4.20), and
in JSON."""

from __future__ import annotations

import json
from typing import Any

# devEui a84041ffff1234ab, devAddr 01a2b3c4, fCnt 41, fPort 2, a payload of a Dragino LHT65, two gateways.
PROTOBUF = bytes.fromhex(
    "0a2436613334613236342d303030302d343030302d383030302d303030303030303030303031120b08e4c4d2d1061095"
    "9aef3a1a561204636f6f701a2435623164356230612d386132632d346331662d396635652d3066376238613263346331"
    "663a06726f6f6d20314210613834303431666666663132333461624a0e0a04736974651206e4bb99e5b1852208303161"
    "326233633428013005382940024801520bcbf60b0d0376010add7fff62570a1030303830303030306130303030303030"
    "10071a0b08e4c4d2d10610959aef3a3090ffffffffffffffff013d000060c06212099a99999999d93c4011cdcccccccc"
    "2c5e406a0201028a010b08e4c4d2d106108084af5f62570a103030383030303030613030303030303110081a0b08e4c4"
    "d2d10610959aef3a30c3ffffffffffffffff013d000014416212099a99999999d93c4011cdcccccccc2c5e406a020102"
    "8a010b08e4c4d2d106108084af5f6a0c08e0eaa0e00112041a021007820107636e3437305f30"
)

# The same with what a codec of the network server made of it.
PROTOBUF_DECODED = bytes.fromhex(
    "0a2436613334613236342d303030302d343030302d383030302d303030303030303030303031120b08e4c4d2d1061095"
    "9aef3a1a561204636f6f701a2435623164356230612d386132632d346331662d396635652d3066376238613263346331"
    "663a06726f6f6d20314210613834303431666666663132333461624a0e0a04736974651206e4bb99e5b1852208303161"
    "326233633428013005382940024801520bcbf60b0d0376010add7fff5af8010a160a0954656d70435f5348541209110a"
    "d7a3703d4a3c400a140a07626174746572791209110000000000c056400a0d0a076e6f7468696e67120208000a0a0a04"
    "646f6f72120220010a170a0a4261745f73746174757312091100000000000008400a380a0367707312312a2f0a160a09"
    "6c6f6e676974756465120911cdcccccccc2c5e400a150a086c617469747564651209119a99999999d93c400a290a046c"
    "6973741221321f0a0911000000000000f03f0a122a100a0e0a016112091100000000000000400a1c0a046e6f74651214"
    "1a1254656d70657261747572652053656e736f720a110a0748756d5f53485412061a0438382e3662570a103030383030"
    "303030613030303030303010071a0b08e4c4d2d10610959aef3a3090ffffffffffffffff013d000060c06212099a9999"
    "9999d93c4011cdcccccccc2c5e406a0201028a010b08e4c4d2d106108084af5f62570a10303038303030303061303030"
    "3030303110081a0b08e4c4d2d10610959aef3a30c3ffffffffffffffff013d000014416212099a99999999d93c4011cd"
    "cccccccc2c5e406a0201028a010b08e4c4d2d106108084af5f6a0c08e0eaa0e00112041a021007820107636e3437305f"
    "30"
)

DEV_EUI = "a84041ffff1234ab"
OBJECT: dict[str, Any] = {
    "TempC_SHT": 28.29,
    "Hum_SHT": "88.6",
    "Bat_status": 3,
    "battery": 91,
    "door": True,
    "note": "Temperature Sensor",
    "nothing": None,
    "gps": {"latitude": 28.85, "longitude": 120.7},
    "list": [1, {"a": 2}],
}


def event(**other: Any) -> dict[str, Any]:
    """As the JSON form has it; a field that is None is left out."""
    fields = {
        "deduplicationId": "6a34a264-0000-4000-8000-000000000001",
        "time": "2026-06-19T01:59:00.123456789+00:00",
        "deviceInfo": {
            "tenantName": "coop",
            "deviceName": "room 1",
            "devEui": DEV_EUI,
            "tags": {"site": "仙居"},
        },
        "devAddr": "01a2b3c4",
        "adr": True,
        "dr": 5,
        "fCnt": 41,
        "fPort": 2,
        "confirmed": True,
        "data": "y/YLDQN2AQrdf/8=",
        "rxInfo": [
            {
                "gatewayId": "00800000a0000000",
                "uplinkId": 7,
                "nsTime": "2026-06-19T01:59:00.200Z",
                "rssi": -112,
                "snr": -3.5,
            },
            {
                "gatewayId": "00800000a0000001",
                "uplinkId": 8,
                "nsTime": "2026-06-19T01:59:00.300Z",
                "rssi": -61,
                "snr": 9.25,
            },
        ],
        "txInfo": {"frequency": 470300000},
    } | other
    return {name: value for name, value in fields.items() if value is not None}


def in_json(**other: Any) -> bytes:
    return json.dumps(event(**other)).encode()
