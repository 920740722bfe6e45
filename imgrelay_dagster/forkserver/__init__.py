"""How step processes start with everything already imported."""
