"""Language models of samples: each of 256 mu-law levels is predicted from the levels before it."""
