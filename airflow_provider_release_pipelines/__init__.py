"""Where Airflow finds the example DAGs of this provider: in a module named after the distribution.

Its path is that of ``airflow_provider``, which has them. Without this module, Airflow 3.3 logs an error and a traceback
at each start while ``[core] load_examples`` is on (https://github.com/apache/airflow/issues/66305).
"""

from airflow_provider import __path__ as __path__
