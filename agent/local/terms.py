"""The words people see, Chinese and English, one table for page, command line and reports.

Chinese words of classes, states and operations follow the panels people know: 火警 启动 反馈 监管 屏蔽 故障
(lamps of GB 4717-2024), 复位 消音 确认 测试 (operations of GB/T 26875.3-2011). Keys are
`<group>.<value>`, with the values of the enums they name, so a missing word is found by a test.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from agent.core.spec import Label


class Lang(StrEnum):
    """The languages spoken."""

    EN = "en"
    ZH = "zh-CN"


TERMS: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        # -- agent.core.spec.AlarmClass, most urgent first; test only on the wire
        "class.fire": ("Fire", "火警"),
        "class.gas": ("Gas", "可燃气体报警"),
        "class.supervisory": ("Supervisory", "监管"),
        "class.fault": ("Fault", "故障"),
        "class.technical": ("Technical", "技术报警"),
        "class.test": ("Test", "测试"),
        # -- agent.core.effects.AlarmState
        "state.normal": ("Normal", "正常"),
        "state.active_unacked": ("Active, not acknowledged", "报警中，未确认"),
        "state.active_acked": ("Active, acknowledged", "报警中，已确认"),
        "state.returned_unacked": ("Ended, not acknowledged", "已恢复，未确认"),
        "state.latched_unacked": ("Latched, not acknowledged", "已锁定，未确认"),
        "state.latched_acked": ("Latched, waits for reset", "已锁定，待复位"),
        # -- drivers.reading.Quality
        "quality.good": ("good", "有效"),
        "quality.uncertain": ("uncertain", "存疑"),
        "quality.bad": ("bad", "无效"),
        "quality.stale": ("stale", "过期"),
        "quality.none": ("never heard", "未收到数据"),
        # -- agent.core.spec.PointKind
        "point.smoke": ("smoke", "烟感"),
        "point.heat": ("heat", "温感"),
        "point.call-point": ("manual call point", "手动报警按钮"),
        "point.gas": ("gas", "可燃气体"),
        "point.leak": ("water leak", "漏水"),
        "point.flow": ("flow", "水流"),
        "point.valve": ("valve", "阀门"),
        "point.pressure": ("pressure", "压力"),
        "point.temperature": ("temperature", "温度"),
        "point.humidity": ("humidity", "湿度"),
        "point.level": ("level", "液位"),
        "point.current": ("current", "电流"),
        "point.residual-current": ("residual current", "剩余电流"),
        "point.voltage": ("voltage", "电压"),
        "point.power": ("power", "功率"),
        "point.energy": ("energy", "电能"),
        "point.frequency": ("frequency", "频率"),
        "point.duration": ("duration", "时长"),
        "point.count": ("count", "计数"),
        "point.pump": ("pump", "水泵"),
        "point.lift": ("lift", "电梯"),
        "point.mains": ("mains supply", "主电"),
        "point.door": ("door", "门"),
        "point.key": ("key", "按键"),
        "point.feedback": ("feedback", "反馈"),
        "point.online": ("connection", "通信"),
        "point.health": ("health", "运行监视"),
        "point.generic": ("other", "其他"),
        # -- agent.core.spec.OutputKind
        "output.siren": ("siren", "警报器"),
        "output.buzzer": ("buzzer", "蜂鸣器"),
        "output.strobe": ("strobe", "闪光报警器"),
        "output.relay": ("relay", "继电器"),
        "output.valve": ("valve", "阀门"),
        "output.cut-off": ("cut-off", "切断"),
        "output.lamp": ("lamp", "指示灯"),
        "output.health": ("health relay", "运行继电器"),
        # -- agent.core.effects.CommandName, and the commands the wire adds
        "command.ack": ("Acknowledge", "确认"),
        "command.silence": ("Silence", "消音"),
        "command.reset": ("Reset", "复位"),
        "command.inhibit": ("Inhibit", "屏蔽"),
        "command.uninhibit": ("End inhibit", "解除屏蔽"),
        "command.restore": ("Restore supply", "恢复供电"),
        "command.drill": ("Drill", "演练"),
        "command.output": ("Output test", "输出测试"),
        "command.mode": ("Linkage mode", "联动方式"),
        "command.output-test": ("Test", "测试"),
        # -- closing codes of a reset
        "closing.real": ("real alarm", "真实报警"),
        "closing.false": ("false alarm", "误报"),
        "closing.test": ("test", "测试"),
        "closing.maintenance": ("maintenance", "维护保养"),
        # -- agent.core.effects.Outcome.code, and what the page itself answers
        "outcome.done": ("done", "已执行"),
        "outcome.unknown_rule": ("refused: no such alarm", "拒绝：无此报警"),
        "outcome.not_active": ("refused: not active", "拒绝：未处于报警状态"),
        "outcome.condition_holds": (
            "refused: the cause is still there",
            "拒绝：报警条件仍然存在",
        ),
        "outcome.condition_unknown": (
            "refused: whether the cause is still there is not known",
            "拒绝：报警条件是否存在未知",
        ),
        "outcome.unacknowledged": ("refused: acknowledge first", "拒绝：请先确认"),
        "outcome.bad_argument": ("refused: not understood", "拒绝：参数有误"),
        "outcome.rule_failed": ("failed: the rule is at fault", "失败：规则故障"),
        "outcome.unknown_point": ("refused: no such point", "拒绝：无此点位"),
        "outcome.unknown_output": ("refused: no such output", "拒绝：无此输出"),
        "outcome.no_end": ("refused: say how long", "拒绝：须给出时长"),
        "outcome.no_reason": ("refused: say why", "拒绝：须给出原因"),
        "outcome.too_long": ("refused: too long", "拒绝：时间过长"),
        "outcome.not_inhibited": ("refused: not inhibited", "拒绝：未被屏蔽"),
        "outcome.already_inhibited": ("refused: inhibited already", "拒绝：已被屏蔽"),
        "outcome.drill_runs": ("refused: a drill is running", "拒绝：演练正在进行"),
        "outcome.no_drill": ("refused: no drill is running", "拒绝：没有正在进行的演练"),
        "outcome.not_on_spot": ("refused: only at the box itself", "拒绝：只能在现场操作"),
        "outcome.latched": ("refused: reset its alarm first", "拒绝：请先复位其报警"),
        "outcome.interlocked": ("refused: interlocked", "拒绝：联锁禁止"),
        "outcome.not_allowed": ("refused: not allowed from there", "拒绝：该来源无权执行"),
        "outcome.expired": ("refused: came too late", "拒绝：命令已过期"),
        "outcome.repeated": ("refused: carried out before", "拒绝：命令重复"),
        "outcome.too_fast": ("refused: too many at once", "拒绝：命令过于频繁"),
        "outcome.no_answer": (
            "no answer: whether it was carried out is not known, look at the alarms",
            "无应答：是否执行未知，请查看报警状态",
        ),
        "outcome.forbidden": ("refused: reload the page and try again", "拒绝：请刷新页面后重试"),
        # -- switching states
        "switch.active": ("active", "动作"),
        "switch.inactive": ("at rest", "未动作"),
        "switch.online": ("online", "在线"),
        "switch.offline": ("offline", "离线"),
        "switch.unreadable": ("cannot be read", "无法读回"),
        "switch.started": ("active", "启动"),
        "switch.stopped": ("at rest", "未启动"),
        # -- remarks on an alarm
        "mark.silenced": ("silenced", "已消音"),
        "mark.pending": ("delay running", "延时中"),
        "mark.unknown": ("cannot be told", "状态未知"),
        "mark.suppressed": ("hidden by a parent fault", "被上级故障抑制"),
        "mark.inhibited": ("inhibited", "已屏蔽"),
        "mark.test": ("test", "测试"),
        "mark.first_out": ("first of its group", "首报"),
        "mark.chattering": ("chattering", "频繁报警"),
        "mark.cut": ("waits to be restored", "待人工恢复"),
        # -- the page
        "page.title": ("Plant room", "机房监测"),
        "page.supplement": (
            "This supplements certified fire panels and never replaces one.",
            "本装置仅作为经认证的火灾报警控制器的补充，绝不能替代火灾报警控制器。",
        ),
        "page.quiet": ("No alarm stands", "当前无报警"),
        "page.blind": (
            "Not everything can be told: silence is not safety",
            "部分状态未知：没有报警不等于安全",
        ),
        "page.silent": (
            "THE AGENT DOES NOT ANSWER. Nothing is known of alarms now. Go and look.",
            "监测程序无应答，当前报警状态未知，请立即到现场查看。",
        ),
        "page.lost": (
            "Connection lost. What you see is old. Since",
            "连接中断，所示内容已过时。中断时间",
        ),
        "page.standing": ("standing", "项报警"),
        "page.unacked": ("not acknowledged", "项未确认"),
        "page.oldest": ("oldest", "最早"),
        "page.ago": ("{} ago", "{}前"),
        "page.alarms": ("Alarms", "报警"),
        "page.points": ("Points", "监测点"),
        "page.outputs": ("Outputs", "输出"),
        "page.buses": ("Buses and devices", "总线与设备"),
        "page.uplinks": ("Uplinks", "上行链路"),
        "page.outbox": ("Outbox", "待发记录"),
        "page.not_ready": ("Not ready", "未就绪"),
        "page.actor": ("Your name", "操作人"),
        "page.closing": ("For reset: what was it?", "复位原因"),
        "page.reason": ("Remark", "备注"),
        "page.choose": ("choose", "请选择"),
        "page.all": ("all", "全部"),
        "page.none": ("none", "无"),
        "page.loopback": (
            "Commands work on this machine only; for others with a PIN later.",
            "目前仅限本机操作；其他终端凭密码操作的功能将在后续版本提供。",
        ),
        "page.maintenance": ("Inhibit, drill, linkage mode", "屏蔽、演练、联动方式"),
        "page.minutes": ("For how long", "时长"),
        "page.place": ("Drill where", "演练区域"),
        "page.which": ("Inhibit which", "屏蔽对象"),
        "page.inhibit-rule": ("Inhibit", "屏蔽"),
        "page.drill-start": ("Start drill", "开始演练"),
        "page.drill-stop": ("End drill", "结束演练"),
        "page.mode-auto": ("Linkage automatic", "联动自动"),
        "page.mode-manual": ("Linkage manual", "联动手动"),
        "page.left": ("{} left", "剩余{}"),
        "page.drill": ("A DRILL IS RUNNING", "演练进行中"),
        "page.inhibited": (
            "INHIBITED: nothing there raises an alarm. Rules",
            "已屏蔽，不会报警。规则数",
        ),
        "page.manual": (
            "Linkage is MANUAL: fans, pumps and valves wait for a person",
            "联动为手动：风机、水泵、阀门需人工确认",
        ),
        "page.cut": ("Cut, and waits for a person on the spot", "已切断，待现场人工恢复"),
        "page.testing": ("An output is being tested", "输出测试进行中"),
        "page.clock": ("box clock", "本机时间"),
        "page.unsynced": ("clock not set from the network", "时钟未同步"),
        "page.since": ("Since", "起始时间"),
        "page.class": ("Class", "类别"),
        "page.alarm": ("Alarm", "报警"),
        "page.state": ("State", "状态"),
        "page.value": ("Value", "数值"),
        "page.zone": ("Zone", "区域"),
        "page.do": ("Do", "操作"),
        "page.point": ("Point", "监测点"),
        "page.quality": ("Quality", "质量"),
        "page.age": ("Age", "更新于"),
        "page.no_value": ("no value", "无数值"),
        "page.last_good": ("last good", "最近有效"),
        "page.kind": ("Kind", "类型"),
        "page.output": ("Output", "输出"),
        "page.asked": ("Asked", "要求"),
        "page.read_back": ("Read back", "读回"),
        "page.fault": ("Fault", "故障"),
        "page.failures": ("failures", "次失败"),
        "page.device": ("Bus or device", "总线或设备"),
        "page.requests": ("Requests", "请求数"),
        "page.late": ("skipped polls", "次跳过轮询"),
        "page.heard": ("Last answer", "最近应答"),
        "page.never": ("never", "从未"),
        "page.uplink": ("Uplink", "链路"),
        "page.broker": ("Broker", "服务器"),
        "page.unsent": ("Unsent", "未发送"),
        "page.confirmed": ("Last confirmed", "最近确认"),
        "page.lane": ("Lane", "类别"),
        "page.records": ("Records", "记录数"),
        "page.disk": ("On disk", "磁盘占用"),
        "page.dropped": ("Dropped", "丢弃"),
        "page.writable": ("writes to disk", "可写入磁盘"),
        "page.not_writable": ("CANNOT WRITE TO DISK", "无法写入磁盘"),
        "page.by": ("by", "操作人"),
        # -- the monthly report
        "report.title": ("Monthly report", "月报"),
        "report.availability": ("Availability", "设施状况"),
        "report.known": ("The box ran and recorded for", "本机运行并记录时长"),
        "report.good_rate": ("Good rate of points", "监测点完好率"),
        "report.online_rate": ("Online rate of buses and devices", "设备在线率"),
        "report.bad": ("in fault", "故障"),
        "report.taken_out": ("inhibited", "屏蔽"),
        "report.unknown": ("unknown: not recorded", "未知（无记录）"),
        "report.gaps": ("Records of loss or damage", "记录缺失或损坏次数"),
        "report.alarms": ("New alarms", "报警次数"),
        "report.tests": ("Tests in drills", "演练测试"),
        "report.closed": ("Closed by a person as", "复位原因"),
        "report.false_rate": ("False-alarm rate", "误报率"),
        "report.response": (
            "Response (median / nine in ten / worst)",
            "响应时间（中位数 / 九成 / 最长）",
        ),
        "report.to_ack": ("Alarm to acknowledgement", "报警至确认"),
        "report.to_reset": ("Alarm to reset", "报警至复位"),
        "report.of": ("of", "共"),
        "report.on_purpose": ("Done on purpose", "演练与屏蔽"),
        "report.drills": ("Drills", "演练次数"),
        "report.inhibited": ("inhibited:", "屏蔽："),
        "report.starts": ("Pump starts", "水泵启动次数"),
        "report.part": ("Part", "部分"),
        "report.what": ("What", "项目"),
        "report.figure": ("Figure", "数值"),
        "report.note": (
            "Unknown time counts as not good. Inhibited time is left out of the rates. Tests are no alarms.",
            "未知时间不计为完好；屏蔽时间不计入比率；测试不计为报警。",
        ),
        "lane.event": ("events", "事件"),
        "lane.telemetry": ("telemetry", "遥测"),
    }
)
"""Key to (English, Chinese)."""


class Words:
    """The table in one language."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        self._column = 1 if lang is Lang.ZH else 0

    def __call__(self, key: str) -> str:
        """Return the word for `key`.

        Raises:
            KeyError: the table has no such key (a fault in the program).
        """
        return TERMS[key][self._column]

    def of(self, group: str, value: str) -> str:
        """Return the word for a value that came from outside the table; the value itself if new."""
        term = TERMS.get(f"{group}.{value}")
        return term[self._column] if term else value

    def label(self, label: Label, fallback: str) -> str:
        """Return a thing's name in this language, else in the other one, else `fallback`."""
        first, second = (label.zh, label.en) if self.lang is Lang.ZH else (label.en, label.zh)
        return first or second or fallback


def choose_lang(asked: str, accept_language: str) -> Lang:
    """Return the language of `?lang=`, else the best of an Accept-Language header (RFC 9110, 12.5.4)."""
    if (wanted := _known(asked)) is not None:
        return wanted
    best, best_weight = Lang.EN, 0.0
    for part in accept_language.split(",")[:20]:
        tag, _, parameter = part.partition(";")
        weight = _weight(parameter)
        if (lang := _known(tag)) is not None and weight > best_weight:
            best, best_weight = lang, weight
    return best


def _known(tag: str) -> Lang | None:
    match tag.strip().lower().split("-")[0]:
        case "zh":
            return Lang.ZH
        case "en":
            return Lang.EN
        case _:
            return None


def _weight(parameter: str) -> float:
    name, _, number = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(number)))
    except ValueError:
        return 0.0
