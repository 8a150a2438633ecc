"""The status page of a witness, in English."""

from __future__ import annotations

EN = {
    "watching_title": "Witness {name}",
    "watching_lead": "This witness cosigns a log's checkpoint only if it follows from all it cosigned of that log before. It says"
    " nothing about whether what stands in a log is true.",
    "watching_keys": "Its keys",
    "watching_logs": "Logs it watches",
    "watching_no_logs": "It trusts no log yet. Who runs it adds one with `suyuan witness --trust URL`.",
    "watching_log": "Log",
    "watching_size": "Entries",
    "watching_root": "Root hash",
    "watching_time": "Cosigned (UTC)",
    "watching_never": "never",
    "watching_refused": "Refused",
    "watching_forks": "{count} forks",
    "watching_unproven": "{count} without a proof that holds",
    "watching_nothing": "nothing",
    "watching_removed": "no longer trusted",
    "watching_fork_found": "A log signed two different histories. Both notes are kept: see /evidence.json.",
    "watching_unproven_note": "Anybody can send a signed checkpoint with a proof that does not hold, so that alone shows nothing"
    " about the log; the notes are kept in /evidence.json for whoever can compare the log's tiles.",
}
