"""What a destination remembers: receipts, ledger, lock and summary, and the keys they lie under."""
