"""Events by push: a webhook of Quay, Cocktail or Code Stream becomes an event of an asset.

``app`` is the route, mounted by the plugin into Airflow's API server; ``endpoints`` holds the declared webhooks;
``bodies`` reads the request's body; one module per system reads a message and verifies it with the system; ``counting``
writes the event, once; ``waking`` ends the waits for an execution that has finished. Operators use ``endpoints`` only.
"""
