//! Declarative multi-VM compose engine for libvirt.
