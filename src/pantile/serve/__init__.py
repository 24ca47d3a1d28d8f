"""An HTTP server for one predictor, and a page to try it on. Runs wherever the predictor does, also without torch."""
