"""The words of the pages, in Chinese and English, and how numbers, durations and moments are written in each.

Contract: both catalogues have the same keys with the same places to fill (a test compares them); a word that is missing
raises KeyError, so that no page ever shows a key. The words promise nothing about health: they say what was recorded,
what was measured and what was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from trace_api.story import Name

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

ZH = {
    "html_lang": "zh-Hans",
    "site": "溯源",
    "skip": "跳到正文",
    "other_language": "English",
    "other_language_code": "en",
    "menu": "语言",
    # What it is
    "lot": "批次",
    "box": "箱号",
    "gtin": "商品条码",
    "whole_lot": "整批",
    "subject_box": "{product} · 箱 {serial}",
    "subject_lot": "{product} · 批次 {lot}",
    "facts": "要点",
    "fact_picked": "采摘距今",
    "fact_picked_note": "{when} 采摘",
    "fact_to_cold": "采摘到预冷完成",
    "fact_to_cold_note": "用时最长的一份",
    "fact_measured": "有温度记录",
    "fact_measured_note": "全程 {total}",
    "unknown": "没有记录",
    "on_hold_title": "已暂停销售",
    "on_hold": "有关方面已要求暂停销售和食用这一批货，结果未定。请保留包装，并向购买处询问。",
    # Verdict
    "verdict_title": "冷链结论",
    "verdict_compliant": "符合约定",
    "verdict_breach": "超出约定",
    "verdict_indeterminate": "无法判断",
    "verdict_not_applicable": "不适用",
    "no_verdict": "尚无结论：这一批货的温度还没有判定。",
    "verdict_rule": "依据",
    "verdict_rule_unverified": "限值来自约定，尚未与标准原文核对。",
    "verdict_of_lot": "这一批货分在 {count} 处。以下结论、经过和温度说的是其中记录最差的一份。",
    "verdict_of_lot_link": "看各份",
    "verdict_scope": "结论只说温度记录与约定是否相符，不是对质量的检验。",
    # Origins
    "origins_title": "来自哪里",
    "origins_one": "来自一处产地。",
    "origins_many": "由 {count} 份原料混合而成，按重量计：",
    "origin_lot": "原料批次 {lot}",
    "origin_picked": "{when} 采摘",
    "origin_share_unknown": "比例没有记录",
    "origin_unknown": "产地没有记录",
    "no_origins": "没有产地记录。",
    # Journey
    "journey_title": "经过",
    "journey_intro": "时间均为当地时间。",
    "chain_hidden": "这批货的部分经过没有公开：另有 {count} 条记录，记录单位没有公开。",
    "no_steps": "还没有步骤记录。",
    "pulp": "果心温度 {value}",
    "step_sealed": "本机已核验",
    "step_harvest": "采摘",
    "step_collected": "收购过秤",
    "step_precooling_start": "开始预冷",
    "step_precooling_end": "预冷完成",
    "step_mixed": "分拣混装",
    "step_packed": "装箱组托",
    "step_stored": "入库",
    "step_loaded": "装车",
    "step_departed": "发车",
    "step_arrived": "到达",
    "step_unloaded": "卸车",
    "step_inspected": "进场查验",
    "step_refused_part": "部分拒收",
    "step_accepted": "收货",
    "step_sampled": "抽样",
    "step_tested": "快速检测",
    "step_sold_on": "转售",
    "step_on_shelf": "上架",
    "step_sold": "售出",
    "step_held": "暂停销售",
    "step_recalled": "召回",
    "step_other": "其他记录",
    # Temperature
    "chart_title": "一路温度",
    "chart_name": "全程温度图",
    "chart_limit": "约定上限 {value}",
    "chart_limit_in": "约定上限 {value}：第 {places} 段",
    "chart_unmeasured": "未测量",
    "chart_beyond": "高于上限",
    "chart_summary": (
        "从 {start} 到 {end}，共 {total}：测量 {measured}，未测量 {unmeasured}。测得最低 {lowest}，最高 {highest}。"
    ),
    "chart_summary_nothing": "从 {start} 到 {end}，共 {total}，没有任何温度记录。",
    "chart_none": "没有温度记录。",
    "chart_numbers": "图中编号对应下面的各段。",
    "legs_title": "各段",
    "leg_at": "{start} 至 {end}",
    "leg_span": "{lowest} 至 {highest}",
    "leg_none": "全段未测量（{minutes}）",
    "leg_unmeasured": "未测量 {minutes}",
    "leg_measured_all": "全段有测量",
    "leg_beyond": "高于 {limit}：至少 {least}，至多 {most}",
    "leg_maybe_beyond": "是否高于 {limit} 不能确定：至多 {most}",
    "leg_within": "未高于 {limit}",
    "leg_no_limit": "此段没有约定上限",
    "leg_road": "在途",
    "stage_field": "田间",
    "stage_collected": "收购",
    "stage_precooling": "预冷",
    "stage_cold": "冷库",
    "stage_loaded": "运输",
    "stage_arrived": "到达待检",
    "stage_stall": "市场档口",
    "stage_shelf": "门店货架",
    "stage_other": "其他",
    "position_return_air": "回风",
    "position_supply_air": "送风",
    "position_in_box": "箱内",
    "position_ambient": "环境",
    "position_pulp": "果心",
    "position_surface": "表面",
    "data_title": "图中数据（每小时最低至最高，°C）",
    "data_caption": "每小时测得的最低至最高温度",
    "data_hour": "时段",
    "data_leg": "段",
    "data_none": "未测量",
    "data_dash": "“—”表示未测量。",
    "data_devices": "测量仪器",
    "data_device": "{position}：{model}，误差 ±{accuracy} °C，每 {interval}测一次",
    # Papers
    "certificate_title": "承诺达标合格证",
    "certificate_by": "由{name}于 {when} 开具",
    "certificate_unknown_by": "{when} 开具，开具者没有记录",
    "certificate_meaning": "这是生产者自己作出的承诺，不是第三方认证。",
    "certificate_none": "没有合格证记录。",
    "certificate_number": "编号",
    "test_title": "市场快速检测",
    "test_passed": "未检出超过快检阈值",
    "test_on_hold": "暂停销售，等待最终结果",
    "test_unknown": "结果没有记录",
    "test_meaning": "快速检测只覆盖部分农药种类，是筛查，不是全面检验。",
    "test_none": "没有检测记录。",
    "test_at": "{when}，{place}",
    # Portions
    "portions_title": "这一批货现在在哪里",
    "portions_intro": "同一批货可以分到几处。冷链结论随各份货走；扫描箱上的码可以看到那一箱的结论。",
    "portions_caption": "这一批货的各份",
    "portion_where": "目前位置",
    "portion_quantity": "数量",
    "portion_verdict": "冷链结论",
    "portion_box": "看箱 {serial}",
    "portion_unknown_place": "位置没有记录",
    "portion_one_title": "这一箱所在的一份",
    "portion_one": "{quantity}，同托同车，目前位于{place}。",
    "portion_whole_lot": "查看整批",
    # Proof
    "proof_title": "证明",
    "proof_intro": "每一步都写进了一本只能追加的记录。您的设备可以自己核验，不必相信我们的服务器。",
    "proof_off_title": "尚未在本机核验",
    "proof_off": "核验在您的设备上进行，需要 JavaScript。没有它，可以下载证据文件自行核验，方法在下面。",
    "proof_working_title": "正在本机核验…",
    "proof_working": "正在取证据文件并逐条核验。",
    "proof_holds_title": "已在本机核验：记录前后一致",
    "proof_holds": "下列内容与已签名的记录一致；记录之后若有改动，这里会显示不符。",
    "proof_broken_title": "核验不通过",
    "proof_broken": "证据文件与签名的记录不符。请不要依赖本页内容；请保留包装，并把下面的说明发给卖家或市场管理方。",
    "proof_failed_title": "无法核验",
    "proof_failed": "没有核验出结果，这既不说明记录可信，也不说明不可信。可以稍后再试，或下载证据文件自行核验。",
    "proof_failed_fetch": "没有取到证据文件。",
    "proof_failed_error": "核验程序在这台设备上出错。",
    "proof_failed_other": "证据文件没有提到这一批货，无法与本页对应。",
    "proof_again": "再核验一次",
    "proof_method": "签名核验",
    "proof_method_webcrypto": "浏览器自带（WebCrypto Ed25519）",
    "proof_method_library": "本页所附程序库（@noble/curves）",
    "proof_events": "核验的事件",
    "proof_steps": "与本页步骤对上",
    "proof_readings": "核验的温度读数",
    "proof_logs": "记录来源",
    "proof_checks": "逐条核验",
    "proof_failures": "不符之处",
    "proof_not_so": "不成立：",
    "proof_got": "实际",
    "proof_want": "应为",
    "proof_own_key": "公钥随证据文件而来：核验说明内容自签名后未被改动。要确认签名者是谁，请从别处取得公钥，再用下面的命令。",
    "proof_sealed_all": "本页的 {count} 个事件都已写入记录。",
    "proof_sealed_some": "本页的 {recorded} 个事件中，{sealed} 个已写入记录，其余稍后写入。",
    "proof_sealed_none": "本页的事件还没有写入记录，稍后再来核验。",
    "witness_title": "独立见证方",
    "witness_none": "还没有。",
    "witness_none_meaning": (
        "没有独立见证方，就无法排除记录的管理者给不同的人看不同的记录。核验只说明：您看到的这一份，签名后没有改动。"
    ),
    "witness_some": "{count} 个",
    "witness_some_meaning": "独立见证方与记录的管理者无关，它们确认大家看到的是同一本记录。",
    "proof_limits": "记录不等于事实：证明只说明当时记下了什么、之后没有改动，不说明记下的内容本身属实。",
    "proof_self_title": "自行核验",
    "proof_self": "下载证据文件，从别处取得记录的公钥（vkey），然后运行：",
    "proof_download": "下载证据文件",
    "check_file": "证据文件可以读取",
    "check_content": "文件中有可供核验的内容",
    "check_key": "公钥就是您信任的公钥",
    "check_own_key": "公钥与记录的名称一致",
    "check_checkpoint": "记录的当前状态有有效签名",
    "check_entry": "条目格式正确",
    "check_log": "条目确为该记录而写",
    "check_inclusion": "条目包含在已签名的记录之中",
    "check_fields": "所示字段与记录一致",
    "check_readings": "所示读数即封存的读数",
    "check_summary": "读数在公布的时间与极值之内",
    "check_stream": "同一设备或主体的条目前后相接",
    "check_amends": "补录的时段承接它所修正的时段",
    # Foot
    "foot_generated": "本页内容截至 {when}",
    "foot_qr": "本页二维码",
    "foot_about": "溯源记录由各参与方自行提交；本页如实显示，没有记录的就写没有记录。",
    "foot_home": "首页",
    # Missing
    "missing_unknown_lot_title": "没有这一批货的记录",
    "missing_unknown_lot": "条码格式正确，但这里没有它的记录：可能尚未登记，或在别处登记。",
    "missing_unknown_lot_next": "请与包装上的条码和批号核对；若一致，请向卖家询问是谁登记的。",
    "missing_unknown_box_title": "没有这一箱的记录",
    "missing_unknown_box": "有这一批货，但没有这个箱号的记录。",
    "missing_unknown_box_next": "请核对箱上的号码。也可以查看整批的记录。若号码与标签一致，这张标签可能不是本批所印，请告诉卖家。",
    "missing_bad_identifier_title": "这个编号不成立",
    "missing_bad_identifier": "编号有误，多半是少了一位、多了一位，或输错了一位。",
    "missing_bad_identifier_next": "请重新扫描，或照标签重新输入。",
    "missing_unavailable_title": "暂时取不到记录",
    "missing_unavailable": "服务器此刻无法读取记录，这与您的货无关。",
    "missing_unavailable_next": "请稍后刷新本页。",
    "missing_no_page_title": "没有这个页面",
    "missing_no_page": "这个地址不对应任何页面。",
    "missing_no_page_next": "请扫描包装上的二维码，或从首页开始。",
    "missing_asked": "您查的是",
    "missing_reason": "原因",
    "missing_lot_link": "查看整批",
    # Home
    "home_title": "从田间到这一箱",
    "home_intro": "扫描包装上的二维码，就能看到这一箱从哪里来、经过了谁的手、一路有多冷，以及您的手机自己核验过的证明。",
    "home_samples": "示例",
    "home_samples_intro": "用手机扫描，或直接打开。",
    "home_none": "还没有可看的批次。",
    "home_say_title": "这里会说什么",
    "home_say_1": "记下了什么，谁记的，什么时候记的。",
    "home_say_2": "哪里测了温度，哪里没有测：没有测的就写没有测。",
    "home_say_3": "证明能说明什么，不能说明什么。",
}

EN = {
    "html_lang": "en",
    "site": "Suyuan",
    "skip": "Skip to content",
    "other_language": "中文",
    "other_language_code": "zh",
    "menu": "Language",
    "lot": "Lot",
    "box": "Box",
    "gtin": "Item number",
    "whole_lot": "Whole lot",
    "subject_box": "{product} · box {serial}",
    "subject_lot": "{product} · lot {lot}",
    "facts": "At a glance",
    "fact_picked": "Since picking",
    "fact_picked_note": "picked {when}",
    "fact_to_cold": "From picking to cold",
    "fact_to_cold_note": "the slowest part of it",
    "fact_measured": "Temperature measured",
    "fact_measured_note": "of {total} on record",
    "unknown": "Not recorded",
    "on_hold_title": "On hold",
    "on_hold": (
        "Sale and use of these goods are on hold until a result is in. Please keep the package and ask where you bought it."
    ),
    "verdict_title": "Cold chain",
    "verdict_compliant": "As agreed",
    "verdict_breach": "Outside what was agreed",
    "verdict_indeterminate": "Cannot be told",
    "verdict_not_applicable": "Does not apply",
    "no_verdict": "No judgement yet: the temperatures of these goods have not been judged.",
    "verdict_rule": "Rule",
    "verdict_rule_unverified": "The limit is an agreed one and has not yet been checked against the text of a standard.",
    "verdict_of_lot": (
        "This lot is in {count} parts. The judgement, journey and temperatures told here are those of the part "
        "with the worst record."
    ),
    "verdict_of_lot_link": "See all parts",
    "verdict_scope": "This says only whether the temperature record keeps to what was agreed. It is no test of quality.",
    "origins_title": "Where from",
    "origins_one": "From one place.",
    "origins_many": "Mixed from {count} harvests, by weight:",
    "origin_lot": "Harvest lot {lot}",
    "origin_picked": "picked {when}",
    "origin_share_unknown": "share not recorded",
    "origin_unknown": "Place not recorded",
    "no_origins": "No place of origin is recorded.",
    "journey_title": "Journey",
    "journey_intro": "All times are local.",
    "chain_hidden": "Part of this chain is not published. Records kept private by those who made them: {count}.",
    "no_steps": "No step is recorded yet.",
    "pulp": "inside the fruit {value}",
    "step_sealed": "checked on this device",
    "step_harvest": "Picked",
    "step_collected": "Weighed in",
    "step_precooling_start": "Pre-cooling began",
    "step_precooling_end": "Pre-cooling done",
    "step_mixed": "Sorted and mixed",
    "step_packed": "Packed",
    "step_stored": "Into the cold store",
    "step_loaded": "Loaded",
    "step_departed": "Departed",
    "step_arrived": "Arrived",
    "step_unloaded": "Unloaded",
    "step_inspected": "Checked at the gate",
    "step_refused_part": "Refused in part",
    "step_accepted": "Accepted",
    "step_sampled": "Sample taken",
    "step_tested": "Rapid test",
    "step_sold_on": "Sold on",
    "step_on_shelf": "On the shelf",
    "step_sold": "Sold",
    "step_held": "Put on hold",
    "step_recalled": "Recalled",
    "step_other": "Other record",
    "chart_title": "Temperature on the way",
    "chart_name": "Temperature over the whole journey",
    "chart_limit": "Agreed limit {value}",
    "chart_limit_in": "Agreed limit {value}: in part {places}",
    "chart_unmeasured": "Not measured",
    "chart_beyond": "Above the limit",
    "chart_summary": (
        "From {start} to {end}, {total} in all: measured for {measured}, not measured for {unmeasured}. "
        "Lowest measured {lowest}, highest {highest}."
    ),
    "chart_summary_nothing": "From {start} to {end}, {total} in all, no temperature was recorded.",
    "chart_none": "No temperature is recorded.",
    "chart_numbers": "The numbers in the picture are those of the parts below.",
    "legs_title": "Parts of the way",
    "leg_at": "{start} to {end}",
    "leg_span": "{lowest} to {highest}",
    "leg_none": "not measured at all ({minutes})",
    "leg_unmeasured": "not measured for {minutes}",
    "leg_measured_all": "measured throughout",
    "leg_beyond": "above {limit}: at least {least}, at most {most}",
    "leg_maybe_beyond": "perhaps above {limit}: at most {most}",
    "leg_within": "not above {limit}",
    "leg_no_limit": "no limit agreed here",
    "leg_road": "On the way",
    "stage_field": "Field",
    "stage_collected": "Collection",
    "stage_precooling": "Pre-cooling",
    "stage_cold": "Cold store",
    "stage_loaded": "Transport",
    "stage_arrived": "Arrived, waiting",
    "stage_stall": "Market stall",
    "stage_shelf": "Shop shelf",
    "stage_other": "Other",
    "position_return_air": "Return air",
    "position_supply_air": "Supply air",
    "position_in_box": "In the box",
    "position_ambient": "Room",
    "position_pulp": "Inside the fruit",
    "position_surface": "Surface",
    "data_title": "The picture's data (lowest to highest of each hour, °C)",
    "data_caption": "Lowest to highest temperature measured in each hour",
    "data_hour": "Hour",
    "data_leg": "Part",
    "data_none": "not measured",
    "data_dash": "A dash means not measured.",
    "data_devices": "Instruments",
    "data_device": "{position}: {model}, accurate to ±{accuracy} °C, every {interval}",
    "certificate_title": "Producer's conformity declaration (承诺达标合格证)",
    "certificate_by": "issued by {name}, {when}",
    "certificate_unknown_by": "issued {when}, by whom is not recorded",
    "certificate_meaning": "This is the producer's own promise, not a certificate from a third party.",
    "certificate_none": "No declaration is recorded.",
    "certificate_number": "Number",
    "test_title": "Rapid test at the market",
    "test_passed": "Nothing found above the screening threshold",
    "test_on_hold": "On hold until the final result",
    "test_unknown": "Result not recorded",
    "test_meaning": "A rapid test looks for some pesticides only: it screens, it does not cover everything.",
    "test_none": "No test is recorded.",
    "test_at": "{when}, {place}",
    "portions_title": "Where this lot is now",
    "portions_intro": (
        "One lot can be in several places. The cold chain is judged for each part; the code on a box tells that box's story."
    ),
    "portions_caption": "The parts of this lot",
    "portion_where": "Now at",
    "portion_quantity": "Quantity",
    "portion_verdict": "Cold chain",
    "portion_box": "See box {serial}",
    "portion_unknown_place": "Place not recorded",
    "portion_one_title": "What this box travels with",
    "portion_one": "{quantity} together, now at {place}.",
    "portion_whole_lot": "See the whole lot",
    "proof_title": "Proof",
    "proof_intro": (
        "Each step was written into a record that can only grow. "
        "Your own device can check it and need not believe our server."
    ),
    "proof_off_title": "Not yet checked on this device",
    "proof_off": (
        "The check runs on your own device and needs JavaScript. "
        "Without it, download the evidence file and check it yourself as shown below."
    ),
    "proof_working_title": "Checking on this device…",
    "proof_working": "Fetching the evidence file and checking it line by line.",
    "proof_holds_title": "Checked on this device: the record holds together",
    "proof_holds": "What follows is as it was signed; had it been changed since, this would say so.",
    "proof_broken_title": "The check does not hold",
    "proof_broken": (
        "The evidence does not fit the signed record. Do not rely on this page; "
        "keep the package and send the lines below to the seller or the market."
    ),
    "proof_failed_title": "Could not check",
    "proof_failed": (
        "There is no result, which speaks neither for nor against the record. "
        "Try again later, or download the evidence file and check it yourself."
    ),
    "proof_failed_fetch": "The evidence file could not be fetched.",
    "proof_failed_error": "The check stopped with an error on this device.",
    "proof_failed_other": "The evidence file does not name this lot, so it cannot be held against this page.",
    "proof_again": "Check again",
    "proof_method": "Signatures checked by",
    "proof_method_webcrypto": "the browser itself (WebCrypto Ed25519)",
    "proof_method_library": "the library that came with this page (@noble/curves)",
    "proof_events": "Events checked",
    "proof_steps": "Matching steps of this page",
    "proof_readings": "Temperature readings checked",
    "proof_logs": "From the record of",
    "proof_checks": "Each check",
    "proof_failures": "What does not fit",
    "proof_not_so": "Not so: ",
    "proof_got": "got",
    "proof_want": "want",
    "proof_own_key": (
        "The key came with the evidence file: the check shows that nothing changed since it was signed. "
        "To be sure who signed, get the key from elsewhere and use the command below."
    ),
    "proof_sealed_all": "All {count} events of this page are in the record.",
    "proof_sealed_some": "Of the {recorded} events of this page, {sealed} are in the record; the rest will follow.",
    "proof_sealed_none": "The events of this page are not in the record yet; come back a little later.",
    "witness_title": "Independent witnesses",
    "witness_none": "None yet.",
    "witness_none_meaning": (
        "Without one, nobody can rule out that the keeper of the record shows different people different records. "
        "The check says only that the one you see was not changed after it was signed."
    ),
    "witness_some": "{count}",
    "witness_some_meaning": (
        "They have nothing to do with the keeper of the record and confirm that everybody is shown the same one."
    ),
    "proof_limits": (
        "A record is not the truth: the proof says what was written down then and not changed since, "
        "not that it was right."
    ),
    "proof_self_title": "Check it yourself",
    "proof_self": "Download the evidence file, get the record's key (vkey) from elsewhere, and run:",
    "proof_download": "Download the evidence file",
    "check_file": "The evidence file can be read",
    "check_content": "The file holds something to check",
    "check_key": "The key is the one you trust",
    "check_own_key": "The key bears the record's name",
    "check_checkpoint": "This state of the record is validly signed",
    "check_entry": "The entry is well formed",
    "check_log": "The entry was written for this record",
    "check_inclusion": "The entry is part of the signed record",
    "check_fields": "The fields shown are those recorded",
    "check_readings": "The readings shown are those sealed",
    "check_summary": "The readings fit the published times and extremes",
    "check_stream": "The entries of one device or party follow one another",
    "check_amends": "A window with late readings follows the one it amends",
    "foot_generated": "As of {when}",
    "foot_qr": "This page's code",
    "foot_about": (
        "Each party submits its own records. This page shows them as they are, and says so where there are none."
    ),
    "foot_home": "Start page",
    "missing_unknown_lot_title": "No record of this lot",
    "missing_unknown_lot": "The number is well formed, but nothing is recorded here: not yet, or elsewhere.",
    "missing_unknown_lot_next": (
        "Compare it with the number and lot on the package; if they agree, ask the seller who registers it."
    ),
    "missing_unknown_box_title": "No record of this box",
    "missing_unknown_box": "The lot is on record, but not a box of this number.",
    "missing_unknown_box_next": (
        "Check the number on the box, or see the whole lot. If it is what the label says, "
        "the label may not be of this lot: tell the seller."
    ),
    "missing_bad_identifier_title": "This number cannot be right",
    "missing_bad_identifier": "Most often a digit is missing, too many or mistyped.",
    "missing_bad_identifier_next": "Scan again, or type it in as the label has it.",
    "missing_unavailable_title": "The record cannot be read just now",
    "missing_unavailable": "The server cannot reach the record at the moment. This says nothing about your goods.",
    "missing_unavailable_next": "Reload this page in a while.",
    "missing_no_page_title": "There is no such page",
    "missing_no_page": "This address belongs to no page.",
    "missing_no_page_next": "Scan the code on the package, or begin at the start page.",
    "missing_asked": "You asked for",
    "missing_reason": "Reason",
    "missing_lot_link": "See the whole lot",
    "home_title": "From the field to this box",
    "home_intro": (
        "Scan the code on a package and see where the box comes from, through whose hands it went, "
        "how cold it was on the way, and a proof that your phone has checked by itself."
    ),
    "home_samples": "Samples",
    "home_samples_intro": "Scan with a phone, or open here.",
    "home_none": "There is nothing to see yet.",
    "home_say_title": "What these pages say",
    "home_say_1": "What was recorded, by whom, and when.",
    "home_say_2": "Where temperature was measured, and where it was not.",
    "home_say_3": "What a proof shows, and what it does not.",
}

CATALOGUES: Mapping[Language, Mapping[str, str]] = MappingProxyType({"zh": ZH, "en": EN})

_UNITS = {
    "KGM": Name("千克", "kg"),
    "GRM": Name("克", "g"),
    "TNE": Name("吨", "t"),
    "H87": Name("件", "pieces"),
    None: Name("箱", "boxes"),
}
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Words:
    """One language's way of saying things. Called with a key it gives that sentence."""

    language: Language

    def __call__(self, key: str, **facts: object) -> str:
        """The sentence of `key` with its places filled. KeyError if there is none, or a fact is missing."""
        return CATALOGUES[self.language][key].format(**facts)

    def known(self, group: str, code: str) -> str:
        """The word of `code` in an open group such as `step`; that of "other", or the code, where it is new."""
        catalogue = CATALOGUES[self.language]
        return catalogue.get(f"{group}_{code}") or catalogue.get(f"{group}_other") or code

    def name(self, name: Name) -> str:
        """In this language, or in the other where it has none."""
        own, other = (name.zh, name.en) if self.language == "zh" else (name.en, name.zh)
        return own or other

    def celsius(self, value: float | None) -> str:
        if value is None:
            return self("unknown")
        text = f"{value:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")
        return f"{text}{_NO_BREAK}°C"

    def span(self, low: float, high: float) -> str:
        """Lowest to highest for a table's cell, without the unit."""
        return f"{low:.1f} \u2013 {high:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")

    def percent(self, share: float) -> str:
        return f"{share * 100:.0f}{'' if self.language == 'zh' else _NO_BREAK}%"

    def quantity(self, amount: float, uom: str | None) -> str:
        unit = self.name(_UNITS.get(uom, Name(uom or "", uom or "")))
        return f"{amount:g}{_NO_BREAK}{unit}"

    def minutes(self, minutes: float) -> str:
        """A duration, rounded to the minute: `2 h 05 min`."""
        hours, rest = divmod(round(minutes), 60)
        hour, minute = ("小时", "分") if self.language == "zh" else ("h", "min")
        if not hours:
            return f"{rest}{_NO_BREAK}{'分钟' if self.language == 'zh' else 'min'}"
        if not rest:
            return f"{hours}{_NO_BREAK}{hour}"
        return f"{hours}{_NO_BREAK}{hour}{_NO_BREAK}{rest:02d}{_NO_BREAK}{minute}"

    def age(self, minutes: float) -> str:
        """How long ago: hours up to two days, then days and hours."""
        hours = int(minutes // 60)
        if hours < 1:
            return self.minutes(minutes)
        days, rest = divmod(hours, 24)
        hour, day = ("小时", "天") if self.language == "zh" else ("h", "d")
        if hours < 48:
            return f"{hours}{_NO_BREAK}{hour}"
        return f"{days}{_NO_BREAK}{day}{_NO_BREAK}{rest}{_NO_BREAK}{hour}"

    def seconds(self, seconds: int) -> str:
        if seconds % 60 == 0:
            return self.minutes(seconds / 60)
        return f"{seconds}{_NO_BREAK}{'秒' if self.language == 'zh' else 's'}"

    def day(self, moment: datetime, zone: str) -> str:
        """`6月18日` or `18 June`."""
        local = moment.astimezone(ZoneInfo(zone))
        if self.language == "zh":
            return f"{local.month}月{local.day}日"
        return f"{local.day} {_MONTHS[local.month - 1]}"

    def clock(self, moment: datetime, zone: str) -> str:
        """`05:20`, in the place's zone."""
        return f"{moment.astimezone(ZoneInfo(zone)):%H:%M}"

    def moment(self, moment: datetime, zone: str) -> str:
        """`6月18日 05:20` or `18 June, 05:20`."""
        separator = " " if self.language == "zh" else ", "
        return f"{self.day(moment, zone)}{separator}{self.clock(moment, zone)}"
