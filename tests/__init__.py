"""Tests. Assertions in helpers show what they compared, as those in tests do."""

import pytest

pytest.register_assert_rewrite("tests.support")
