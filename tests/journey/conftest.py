from journey.journeys import alone, customers, live

__all__ = ["alone", "customers", "live"]
