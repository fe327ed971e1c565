"""What the engine's timers are about."""

from __future__ import annotations

from enum import Enum


class Alarm(str, Enum):
    """What a timer is about."""

    RETRY = "retry"
    GIVE_UP = "give_up"
    REPEAT_CANCEL = "repeat_cancel"


#: Kind, execution, and the position of the task that it is about (else 0).
TimerKey = tuple[Alarm, str, int]
