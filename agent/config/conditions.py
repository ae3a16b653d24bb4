"""From the models of conditions to what the core watches."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from agent.config.calendar import WallCalendar
from agent.config.model_conditions import (
    DAYS,
    PER_S,
    AboveModel,
    AllModel,
    AnyModel,
    AtLeastModel,
    BelowModel,
    ConditionModel,
    ContactModel,
    FallsModel,
    FlatModel,
    LeaksModel,
    OutsideModel,
    PartOfWeekModel,
    RisesModel,
    ScheduleModel,
    StaleModel,
    StartsModel,
    StartsUsualModel,
    VerifyModel,
)
from agent.core.spec import (
    AllOf,
    AnyOf,
    AtLeast,
    Condition,
    Contact,
    Faster,
    Flat,
    Leaking,
    Outside,
    Scheduled,
    Side,
    Starting,
    Threshold,
    Unheard,
    Verified,
)


def condition_spec(model: ConditionModel, timezone: str) -> Condition:
    """Return the condition for the core; `timezone` is the site's IANA name."""
    match model:
        case AllModel():
            return AllOf(parts=_parts(model.all, timezone))
        case AnyModel():
            return AnyOf(parts=_parts(model.any, timezone))
        case AtLeastModel():
            parts = _parts(model.of, timezone)
            return AtLeast(count=model.at_least, parts=parts, timeout_s=model.timeout_s)
        case VerifyModel():
            part = condition_spec(model.verify, timezone)
            return Verified(part=part, window_s=model.window_s, blank_s=model.blank_s)
        case ScheduleModel():
            return _scheduled(model.schedule, timezone)
        case LeaksModel():
            return Leaking(
                point=model.point,
                limit=model.leaks,
                window_s=model.over_s,
                quiet=condition_spec(model.while_, timezone),
                deadband=model.deadband,
            )
    return _single(model)


def _parts(models: tuple[ConditionModel, ...], timezone: str) -> tuple[Condition, ...]:
    return tuple(condition_spec(each, timezone) for each in models)


def _single(
    model: AboveModel
    | BelowModel
    | OutsideModel
    | ContactModel
    | StaleModel
    | RisesModel
    | FallsModel
    | FlatModel
    | StartsModel
    | StartsUsualModel,
) -> Condition:
    point = model.point
    match model:
        case AboveModel():
            return Threshold(
                point=point, side=Side.ABOVE, limit=model.above, deadband=model.deadband
            )
        case BelowModel():
            return Threshold(
                point=point, side=Side.BELOW, limit=model.below, deadband=model.deadband
            )
        case OutsideModel():
            low, high = model.outside
            return Outside(point=point, low=low, high=high, deadband=model.deadband)
        case ContactModel():
            return Contact(point=point, is_active=model.is_ == "active")
        case StaleModel():
            return Unheard(point=point)
        case FlatModel():
            return Flat(point=point, for_s=model.flat_s, within=model.within)
        case StartsModel():
            return Starting(point=point, limit=model.starts_above, per_s=PER_S[model.per])
        case StartsUsualModel():
            return Starting(
                point=point,
                limit=model.least,
                per_s=PER_S[model.per],
                factor=model.starts_above_usual,
                usual_days=model.usual_days,
            )
        case RisesModel() | FallsModel():
            rises = isinstance(model, RisesModel)
            return Faster(
                point=point,
                side=Side.ABOVE if rises else Side.BELOW,
                limit=model.rises if isinstance(model, RisesModel) else model.falls,
                per_s=PER_S[model.per],
                window_s=model.over_s,
            )


def _scheduled(part: PartOfWeekModel, timezone: str) -> Scheduled:
    return Scheduled(
        calendar=WallCalendar(ZoneInfo(timezone)),
        days=frozenset(DAYS.index(day) for day in part.days),
        from_min=minutes_of(part.from_),
        to_min=minutes_of(part.to),
    )


def minutes_of(time: str) -> int:
    """Return the minutes after midnight of a time like 06:30; 24:00 is 1440."""
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)
