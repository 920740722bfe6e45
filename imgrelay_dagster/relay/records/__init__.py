"""Records in a destination: receipts, ledger, dataset lock and summary, and the layout of their keys."""
