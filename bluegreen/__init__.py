"""How a release becomes real: the provider, its rooms and the command line. Never imports Pulumi's program SDK."""

VERSION = "0.1.0"
