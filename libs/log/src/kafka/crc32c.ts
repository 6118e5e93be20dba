const POLYNOMIAL = 0x82f63b78;

/** Eight tables: eight octets a step. kafkajs takes one octet a step, which is most of what a record costs it. */
const TABLES = createTables();

function createTables(): readonly Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  const [first = new Int32Array(256)] = tables;
  for (let octet = 0; octet < 256; octet++) {
    let crc = octet;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[octet] = crc;
  }
  for (let at = 1; at < 8; at++) {
    const [before, table] = [tables[at - 1], tables[at]];
    for (let octet = 0; octet < 256; octet++) {
      const crc = before?.[octet] ?? 0;
      if (table) table[octet] = (crc >>> 8) ^ (first[crc & 0xff] ?? 0);
    }
  }
  return tables;
}

/** CRC-32C (Castagnoli), as an unsigned number. */
export function crc32c(octets: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  let crc = -1;
  let at = 0;
  for (const end = octets.length - 7; at < end; at += 8) {
    crc ^=
      (octets[at] as number) | ((octets[at + 1] as number) << 8) | ((octets[at + 2] as number) << 16) | ((octets[at + 3] as number) << 24);
    crc =
      (t7[crc & 0xff] as number) ^
      (t6[(crc >>> 8) & 0xff] as number) ^
      (t5[(crc >>> 16) & 0xff] as number) ^
      (t4[crc >>> 24] as number) ^
      (t3[octets[at + 4] as number] as number) ^
      (t2[octets[at + 5] as number] as number) ^
      (t1[octets[at + 6] as number] as number) ^
      (t0[octets[at + 7] as number] as number);
  }
  for (; at < octets.length; at++) crc = (crc >>> 8) ^ (t0[(crc ^ (octets[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
