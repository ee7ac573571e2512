"""An event as one line in a channel: Slack's incoming webhooks, and whatever takes the same (Mattermost, Zulip).

Only the text is sent: no blocks, no buttons, no threads. What is to be done about an event is done with the command
line, where it is written down who did it.
"""

from collections.abc import Mapping

from bluegreen.event import Event, Kind
from bluegreen.notify.audience import Audience, audience

MARKS: Mapping[Kind, str] = {
    "move-started": "🚀",
    "step-completed": "📈",
    "analysis-completed": "🔎",
    "move-completed": "✅",
    "move-failed": "❌",
    "rollback-started": "⏪",
    "rollback-completed": "↩️",
    "rollback-failed": "🚨",
    "hold-set": "✋",
    "hold-released": "👐",
    "gate-waiting": "⏳",
    "gate-approved": "👍",
    "monitor-alert": "⚠️",
    "monitor-resolved": "🟢",
    "monitor-completed": "🏁",
}
OTHERWISE = "🔔"


def slack(url: str) -> Audience:
    """The channel behind this address.

    Raises:
        Refused: nothing can be sent to such an address.
    """
    return audience("Slack", "bluegreen:slackUrl", url, lambda event: {"text": line(event)})


def line(event: Event) -> str:
    """A mark, the stack, what happened."""
    return f"{MARKS.get(event.kind, OTHERWISE)} {_escaped(event.owner)}: {_escaped(event.text)}"


def _escaped(text: str) -> str:
    # The three characters that are syntax to Slack; the ampersand first, or it would escape the other two's.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
