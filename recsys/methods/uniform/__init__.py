"""What a model of few uniform ratings teaches one of many biased ones (KDCRec)."""
