"""The status page of a witness, in Chinese."""

from __future__ import annotations

ZH = {
    "watching_title": "见证方 {name}",
    "watching_lead": "只有当一份日志的检查点与本见证方此前联署过的全部内容前后一致时，本见证方才会联署。它不说明日志里的内容是否属实。",
    "watching_keys": "公钥",
    "watching_logs": "所见证的日志",
    "watching_no_logs": "尚未信任任何日志。运行者用 `suyuan witness --trust URL` 添加。",
    "watching_log": "日志",
    "watching_size": "条目数",
    "watching_root": "根哈希",
    "watching_time": "联署时间（UTC）",
    "watching_never": "从未",
    "watching_refused": "拒绝联署",
    "watching_forks": "{count} 次分叉",
    "watching_unproven": "{count} 次证明不成立",
    "watching_nothing": "无",
    "watching_removed": "已不再信任",
    "watching_fork_found": "有日志签署了两份不同的历史。两份签名记录均已保存，见 /evidence.json。",
    "watching_unproven_note": "任何人都能附上不成立的证明来提交一份已签名的检查点，因此这本身不能说明日志有问题；记录保存在"
    " /evidence.json，供能够比对日志文件的人核查。",
}
