//! Is this file complete? A pure decision over samples in time.
