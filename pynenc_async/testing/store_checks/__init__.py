"""The conformance suite of stores: one module for each subject of the contract `pynenc_async.store.base`."""
