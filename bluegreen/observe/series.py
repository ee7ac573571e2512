"""The names of every series that a dashboard or a rule may ask for, each once, with what it means.

Three writers: the exporter of a monitor (`exporter.py`; the names that blackbox_exporter has are its names), Kong 3.9's
own prometheus plugin, and postgres_exporter where one runs. A panel that asks for a name which nobody writes shows
nothing and says nothing, so the names stand here and nowhere else. It deliberately holds no query.
"""

# Of a monitor's exporter, in the words of blackbox_exporter
PROBE_SUCCESS = "probe_success"
PROBE_DURATION = "probe_duration_seconds"
PROBE_STATUS = "probe_http_status_code"
PROBE_CERTIFICATE = "probe_ssl_earliest_cert_expiry"

# Of a monitor's exporter, in our own
ACTIVE = "bluegreen_active_info"
WEIGHT = "bluegreen_weight"
WANTED = "bluegreen_wanted_weight"
ANALYSIS = "bluegreen_analysis_value"
DEADLINE = "bluegreen_rollback_deadline_timestamp_seconds"
ROLLBACKS = "bluegreen_rollbacks_total"
ALERTS = "bluegreen_alerts"
LAST_PULSE = "bluegreen_last_pulse_timestamp_seconds"
PULSES = "bluegreen_pulses_total"

MEANINGS = {
    PROBE_SUCCESS: "1 when the endpoint answered as expected at the last look, else 0.",
    PROBE_DURATION: "How long the last answer of the endpoint took, in seconds.",
    PROBE_STATUS: "The status of the last answer; 0 when there was none.",
    PROBE_CERTIFICATE: "When the first certificate of this host's chain expires, in Unix time.",
    ACTIVE: "1 for the colour that carries all traffic of an app, with its release as version.",
    WEIGHT: "How much of an app's traffic Kong sends to a colour, in percent.",
    WANTED: "How much of an app's traffic the config wants on a colour, in percent.",
    ANALYSIS: "What the judge last saw of a metric, in the metric's own unit.",
    DEADLINE: "Until when a rollback of an app is one step, in Unix time.",
    ROLLBACKS: "Rollbacks that this monitor began, by what broke and how they ended.",
    ALERTS: "Alerts that are open, by level.",
    LAST_PULSE: "When the monitor last looked, in Unix time.",
    PULSES: "How often the monitor has looked.",
}

# Of Kong 3.9's prometheus plugin; what has to be true in its config is beside each
KONG_REQUESTS = "kong_http_requests_total"  # status_code_metrics
KONG_REQUEST_MS = "kong_request_latency_ms"  # latency_metrics, and the two below; histograms
KONG_OVERHEAD_MS = "kong_kong_latency_ms"
KONG_UPSTREAM_MS = "kong_upstream_latency_ms"
KONG_HEALTH = "kong_upstream_target_health"  # upstream_health_metrics
KONG_CONNECTIONS = "kong_nginx_connections_total"  # always there
KONG_REACHES = "kong_datastore_reachable"  # always there

# Of postgres_exporter
PG_UP = "pg_up"
PG_CONNECTIONS = "pg_stat_activity_count"
PG_ROOM = "pg_settings_max_connections"
PG_LONGEST = "pg_stat_activity_max_tx_duration"
PG_LOCKS = "pg_locks_count"
PG_COMMITS = "pg_stat_database_xact_commit"
PG_ROLLBACKS = "pg_stat_database_xact_rollback"

KNOWN = frozenset(
    {
        *MEANINGS,
        KONG_REQUESTS,
        *(
            f"{name}_{part}"
            for name in (KONG_REQUEST_MS, KONG_OVERHEAD_MS, KONG_UPSTREAM_MS)
            for part in ("bucket", "sum", "count")
        ),
        KONG_HEALTH,
        KONG_CONNECTIONS,
        KONG_REACHES,
        PG_UP,
        PG_CONNECTIONS,
        PG_ROOM,
        PG_LONGEST,
        PG_LOCKS,
        PG_COMMITS,
        PG_ROLLBACKS,
    }
)
