export { buildDsn } from './dsn.ts';
export type { Dsn, DsnAction, DsnRecipient, DsnRequest } from './dsn-request.ts';
export { fromAddresses } from './from.ts';
export { HEADER_LIMITS, type HeaderField, type HeaderLimits, type HeaderScan, headerEnd, scanHeader } from './header.ts';
export { hasEightBit } from './octets.ts';
export { sevenBitSteps, toSevenBit } from './seven-bit.ts';
export {
  formatDate,
  formatDateTime,
  formatDeliveredTo,
  formatMessageId,
  formatReceived,
  formatReturnPath,
  type Received,
  type ReceivedFrom,
} from './trace.ts';
