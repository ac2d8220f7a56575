"""The stand-in for Huawei Cloud ServiceStage release tasks and the part of IAM that they need."""
