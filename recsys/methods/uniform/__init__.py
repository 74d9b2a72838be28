"""KDCRec's methods: a model of few uniform ratings teaches one of many biased ratings."""
