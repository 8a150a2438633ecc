"""设备有什么问题，该做什么：中文。"""

from __future__ import annotations

ZH = {
    "health_silent": "{heard} 之后没有收到任何数据；它每 {interval} 秒测一次，允许间隔 {allowed}",
    "health_silent_do": "检查电源和网络；设备若自己存了数据，恢复后会补发。",
    "health_stuck": "{hours} 小时一直是 {value}，没有变化；允许 {allowed} 小时",
    "health_stuck_do": "用手捂一下探头。数值若不变，更换探头或线缆；自那时起的读数不能说明什么。",
    "health_jumping": "{of} 个读数中有 {times} 个与前后都相差 {by} 以上（{values}）；最多可能相差 {allowed}",
    "health_jumping_do": "检查探头的线缆和插头：接触不良时读数就是这样。",
    "health_drifting": "与旁边的探头相比偏移了 {moved}，{hours} 小时内从 {start} 到 {end}；两者精度之内是 {allowed}",
    "health_drifting_do": "把它和旁边的探头一起与标准器比对，并送去校准。旁边只有一个探头时，偏的可能是任何一个。",
    "health_low_battery": "{level}，低于 {below}",
    "health_low_battery_do": "在它没电之前换电池或充电。",
    "health_clock_skew": "它的时钟比我们快 {off} 秒（负数为慢），依据它的 {samples} 条消息；允许 {allowed} 秒",
    "health_clock_skew_do": "校准它的时钟，或让它从时间服务器对时。读数保留设备自己的时间，修正后的时间列在旁边。",
    "health_well": "收到过数据的设备都没有问题。",
    "health_never_heard": "从未收到数据：{devices}",
}
