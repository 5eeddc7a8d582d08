"""What a finished sweep says about the loss as a function of rho, with honest error bars.

`analysis` reads tables of finished runs and nothing else: no model, no training code, no torch.
"""
