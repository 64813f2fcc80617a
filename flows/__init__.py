"""The story: whole runs, the command line and the studies.

Importing this package settles, before Prefect and torch are imported, that nothing is told to
anyone outside, that Prefect's local server keeps pace, and that threads wait quietly. A variable
that is set already is left as it is.
"""

import os

_SETTINGS = {
    # Telemetry. DO_NOT_TRACK covers Prefect's SDK, the second line its server, the third the
    # load counter of Hugging Face datasets (which HF_HUB_DISABLE_TELEMETRY does not cover).
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The newer of its two UIs has browsers ask a host of Amplitude all the same.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "HF_UPDATE_DOWNLOAD_COUNTS": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The server in the process needs longer than Prefect's 20 s on a busy machine, and writes one
    # event a transaction unless told otherwise, which stalls the runs that wait for SQLite.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # What the store has to say, such as that a shard of vectors is broken and made again, stands in
    # the run's log like what Prefect says; what is said outside of runs is only printed.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "curette.storage",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # OpenMP's threads wait for each other by spinning. Where another process has one of the cores,
    # they spin for most of the time: training the demo's heads took 60 s so, and 2.5 s without.
    "GOMP_SPINCOUNT": "0",
}

for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
