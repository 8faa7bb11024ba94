"""How other frameworks order the weights of recurrent cells, on NumPy arrays. PyTorch is not needed."""
