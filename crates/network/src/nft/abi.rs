//! Numbers of the kernel's interface, from linux/netfilter/nf_tables.h and linux/netfilter/nfnetlink.h.

pub(super) const SUBSYSTEM: u16 = 10;
pub(super) const BATCH_BEGIN: u16 = 0x10;
pub(super) const BATCH_END: u16 = 0x11;

/// `NFT_MSG_*`, with the subsystem.
pub(super) mod message {
    const fn of(number: u16) -> u16 {
        super::SUBSYSTEM << 8 | number
    }
    pub(crate) const NEW_TABLE: u16 = of(0);
    pub(crate) const GET_TABLE: u16 = of(1);
    pub(crate) const DELETE_TABLE: u16 = of(2);
    pub(crate) const NEW_CHAIN: u16 = of(3);
    pub(crate) const GET_CHAIN: u16 = of(4);
    pub(crate) const DELETE_CHAIN: u16 = of(5);
    pub(crate) const NEW_RULE: u16 = of(6);
    pub(crate) const GET_RULE: u16 = of(7);
    pub(crate) const DELETE_RULE: u16 = of(8);
    pub(crate) const NEW_SET: u16 = of(9);
    pub(crate) const GET_SET: u16 = of(10);
    pub(crate) const DELETE_SET: u16 = of(11);
    pub(crate) const NEW_ELEMENTS: u16 = of(12);
    pub(crate) const DELETE_ELEMENTS: u16 = of(14);
}

/// `NFPROTO_*`.
pub(super) mod family {
    pub(crate) const UNSPECIFIED: u8 = 0;
    pub(crate) const INET: u8 = 1;
    pub(crate) const IPV4: u8 = 2;
}

pub(super) const LIST_ELEMENT: u16 = 1;

pub(super) mod table {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const FLAGS: u16 = 2;
    pub(crate) const FLAG_OWNER: u32 = 2;
}

pub(super) mod chain {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 3;
    pub(crate) const HOOK: u16 = 4;
    pub(crate) const POLICY: u16 = 5;
    pub(crate) const TYPE: u16 = 7;
    pub(crate) const HOOK_NUMBER: u16 = 1;
    pub(crate) const HOOK_PRIORITY: u16 = 2;
}

pub(super) mod rule {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
    pub(crate) const HANDLE: u16 = 3;
    pub(crate) const EXPRESSIONS: u16 = 4;
    pub(crate) const USERDATA: u16 = 7;
    /// libnftnl's type for a comment inside the user data.
    pub(crate) const USERDATA_COMMENT: u8 = 0;
}

pub(super) mod set {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const NAME: u16 = 2;
    pub(crate) const FLAGS: u16 = 3;
    pub(crate) const KEY_TYPE: u16 = 4;
    pub(crate) const KEY_LENGTH: u16 = 5;
    pub(crate) const DATA_TYPE: u16 = 6;
    pub(crate) const ID: u16 = 10;
    pub(crate) const USERDATA: u16 = 13;
    /// Tells the `nft` program to print names forwards: libnftnl's type 0 (byte order of keys), 4 bytes, 1 for the host's.
    pub(crate) const HOST_BYTE_ORDER: [u8; 6] = {
        let [a, b, c, d] = 1u32.to_ne_bytes();
        [0, 4, a, b, c, d]
    };
    pub(crate) const FLAG_ANONYMOUS: u32 = 0x01;
    pub(crate) const FLAG_MAP: u32 = 0x08;
    pub(crate) const DATA_VERDICT: u32 = 0xffff_ff00;
    /// Data types as the `nft` program names them, so that it prints our sets well.
    pub(crate) const TYPE_IPV4_ADDRESS: u32 = 7;
    pub(crate) const TYPE_LINK_NAME: u32 = 41;
    pub(crate) const TYPE_BITS: u32 = 6;
}

pub(super) mod elements {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const SET: u16 = 2;
    pub(crate) const ELEMENTS: u16 = 3;
    pub(crate) const KEY: u16 = 1;
    pub(crate) const DATA: u16 = 2;
}

pub(super) mod data {
    pub(crate) const VALUE: u16 = 1;
    pub(crate) const VERDICT: u16 = 2;
    pub(crate) const VERDICT_CODE: u16 = 1;
    pub(crate) const VERDICT_CHAIN: u16 = 2;
}

pub(super) mod verdict {
    pub(crate) const DROP: i32 = 0;
    pub(crate) const ACCEPT: i32 = 1;
    pub(crate) const JUMP: i32 = -3;
    pub(crate) const GOTO: i32 = -4;
}

pub(super) mod expression {
    pub(crate) const NAME: u16 = 1;
    pub(crate) const DATA: u16 = 2;

    /// Register 0 takes a verdict, 1 to 4 hold 16 bytes each.
    pub(crate) const REGISTER_VERDICT: u32 = 0;
    pub(crate) const REGISTER_1: u32 = 1;
    pub(crate) const REGISTER_2: u32 = 2;

    pub(crate) const META_DESTINATION: u16 = 1;
    pub(crate) const META_KEY: u16 = 2;
    pub(crate) const META_IIFNAME: u32 = 6;
    pub(crate) const META_OIFNAME: u32 = 7;
    pub(crate) const META_NFPROTO: u32 = 15;
    pub(crate) const META_L4PROTO: u32 = 16;

    pub(crate) const COMPARE_SOURCE: u16 = 1;
    pub(crate) const COMPARE_OPERATION: u16 = 2;
    pub(crate) const COMPARE_DATA: u16 = 3;
    pub(crate) const COMPARE_EQUAL: u32 = 0;
    pub(crate) const COMPARE_NOT_EQUAL: u32 = 1;

    pub(crate) const RANGE_SOURCE: u16 = 1;
    pub(crate) const RANGE_OPERATION: u16 = 2;
    pub(crate) const RANGE_FROM: u16 = 3;
    pub(crate) const RANGE_TO: u16 = 4;
    pub(crate) const RANGE_INSIDE: u32 = 0;

    pub(crate) const PAYLOAD_DESTINATION: u16 = 1;
    pub(crate) const PAYLOAD_BASE: u16 = 2;
    pub(crate) const PAYLOAD_OFFSET: u16 = 3;
    pub(crate) const PAYLOAD_LENGTH: u16 = 4;
    pub(crate) const PAYLOAD_NETWORK: u32 = 1;
    pub(crate) const PAYLOAD_TRANSPORT: u32 = 2;

    pub(crate) const BITWISE_SOURCE: u16 = 1;
    pub(crate) const BITWISE_DESTINATION: u16 = 2;
    pub(crate) const BITWISE_LENGTH: u16 = 3;
    pub(crate) const BITWISE_MASK: u16 = 4;
    pub(crate) const BITWISE_XOR: u16 = 5;

    pub(crate) const CT_DESTINATION: u16 = 1;
    pub(crate) const CT_KEY: u16 = 2;
    pub(crate) const CT_STATE: u32 = 0;
    pub(crate) const CT_INVALID: u32 = 1;
    pub(crate) const CT_ESTABLISHED_RELATED: u32 = 2 | 4;

    pub(crate) const LOOKUP_SET: u16 = 1;
    pub(crate) const LOOKUP_SOURCE: u16 = 2;
    pub(crate) const LOOKUP_DESTINATION: u16 = 3;

    pub(crate) const NAT_TYPE: u16 = 1;
    pub(crate) const NAT_FAMILY: u16 = 2;
    pub(crate) const NAT_ADDRESS: u16 = 3;
    pub(crate) const NAT_PORT: u16 = 5;
    pub(crate) const NAT_DESTINATION: u32 = 1;

    pub(crate) const IMMEDIATE_DESTINATION: u16 = 1;
    pub(crate) const IMMEDIATE_DATA: u16 = 2;
}
