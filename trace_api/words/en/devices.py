"""What is wrong with a device, and what to do, in English."""

from __future__ import annotations

EN = {
    "health_silent": "nothing was received since {heard}; it measures every {interval} s, {allowed} are allowed",
    "health_silent_do": "Look at its power and its connection; if it keeps its data, it sends them when it is back.",
    "health_stuck": "{value} for {hours} h without a change; {allowed} h are allowed",
    "health_stuck_do": "Warm the probe in the hand. If the value stays, change the probe or its cable; its readings since then say nothing.",
    "health_jumping": "{times} of {of} readings lie {by} and more off both their neighbours ({values}); {allowed} is the most that can be",
    "health_jumping_do": "Look at the cable and the plug of the probe: a loose contact reads so.",
    "health_drifting": "moved by {moved} against what hangs beside it, from {start} to {end} in {hours} h; {allowed} is within the accuracies",
    "health_drifting_do": "Hold it and its neighbour against a reference, and have it calibrated. With one neighbour it may be either of them.",
    "health_low_battery": "{level}, below {below}",
    "health_low_battery_do": "Change or charge the battery before it falls silent.",
    "health_clock_skew": "its clock is {off} s ahead of ours (behind, if negative), by {samples} of its messages; {allowed} s are allowed",
    "health_clock_skew_do": "Set its clock, or let it ask a time server. Its readings keep their own times; the corrected ones stand beside them.",
    "health_well": "Nothing is wrong with any device that was heard.",
    "health_never_heard": "Never heard: {devices}",
}
