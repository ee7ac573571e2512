"""The database: migrations as resources, applied once each, without a queue behind them."""
