"""Networks: layers, their work and their tensors."""
