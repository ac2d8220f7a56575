import pytest

# Its functions are tests in all but name: a failure is to show what they compared.
pytest.register_assert_rewrite("tests.e2e.any_executor")
