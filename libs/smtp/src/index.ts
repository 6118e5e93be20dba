export { type MailCommand, type Parsed, parseMail, parseRcpt, type RcptCommand } from './command.ts';
export { canonicalDomain, isDomain, isIpv4, isIpv6 } from './domain.ts';
export { SMTP_LIMITS } from './limits.ts';
export { canonicalAddress, formatMailbox, type Mailbox, parseMailbox, splitAddress } from './mailbox.ts';
export { formatNotify, NOTIFY, parseNotify } from './notify.ts';
export { isAscii, printable, utf8Octets } from './octets.ts';
export { formatOrcpt, parseOrcpt } from './orcpt.ts';
export { classifyReply, formatReply, type ReplyStage, type SmtpReply, smtpReply } from './reply.ts';
export { decodeXtext, encodeXtext } from './xtext.ts';
