"""From conversations to token ids: encoding, fitting, preparing, previews, mixtures."""
