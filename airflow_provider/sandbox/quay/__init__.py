"""The stand-in for Red Hat Quay's API, its builds, scans and webhooks."""
