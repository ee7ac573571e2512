"""The slow half of a monitor's metrics page: certificates and deadlines, absent where they cannot be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bluegreen.cli.monitor_page import Page
from bluegreen.observe.exporter import Exporter
from tests.papers import certified
from tests.status_room import Shop, play
from tests.test_status import done
from tests.test_validation_tls import door

CERTIFICATE = "probe_ssl_earliest_cert_expiry"
DEADLINE = "bluegreen_rollback_deadline_timestamp_seconds"


def shown(exporter: Exporter, name: str) -> dict[str, float]:
    """Values of a family by what they are about."""
    families = {family.name: family for family in text_string_to_metric_families(exporter.text())}
    return {each.labels.get("endpoint") or each.labels["app"]: each.value for each in families[name].samples}


def test_a_deadline_is_what_status_says_and_is_gone_with_the_way_back(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> tuple[dict[str, float], dict[str, float]]:
        await shop.both(proven=True)
        shop.pulumi(stack=shop.state([done("green", 5, shop.release("green")), done("blue", 1, shop.release("blue"))]))
        async with shop.desk() as desk:
            exporter = Exporter("shop.test", {"backend": "blue"})
            page = Page(desk, exporter)
            await page.read()
            first = shown(exporter, DEADLINE)
            page.moved()
            return first, shown(exporter, DEADLINE)

    first, moved = play(tmp_path, scene)
    assert {"backend": datetime(2026, 3, 4, 2, 0, tzinfo=UTC).timestamp()} == first
    assert {} == moved


def test_without_pulumi_there_is_no_deadline_and_certificates_are_read_all_the_same(tmp_path: Path) -> None:
    papers = certified(tmp_path / "papers", days=9)

    async def scene(shop: Shop) -> tuple[dict[str, float], dict[str, float]]:
        await shop.both(proven=True)
        async with door(papers) as port:
            shop.config |= {
                "bluegreen:kongProxyUrl": f"https://127.0.0.1:{port}",
                "bluegreen:kongCaBundle": str(papers[0].parent / "ca.crt"),
            }
            async with shop.desk() as desk:
                exporter = Exporter("shop.test", {"backend": "blue"})
                await Page(desk, exporter).read()
                return shown(exporter, CERTIFICATE), shown(exporter, DEADLINE)

    found, deadlines = play(tmp_path, scene)
    (last,) = found.values()
    assert timedelta(days=8) < datetime.fromtimestamp(last, UTC) - datetime.now(UTC) <= timedelta(days=9)
    assert {} == deadlines


def test_a_server_that_speaks_no_tls_is_absent(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> dict[str, float]:
        await shop.both()
        shop.config["bluegreen:kongProxyUrl"] = shop.admin.replace("http://", "https://")
        shop.pulumi(stack=shop.state([done("green", 5, shop.release("green")), done("blue", 1, shop.release("blue"))]))
        async with shop.desk() as desk:
            exporter = Exporter("shop.test", {"backend": "blue"})
            await Page(desk, exporter).read()
            return shown(exporter, CERTIFICATE)

    assert {} == play(tmp_path, scene)
