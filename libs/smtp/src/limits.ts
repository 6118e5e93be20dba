/** Sizes of RFC 5321 and of the extensions that ingress offers. Every value is inclusive, in octets where it says so. */
export const SMTP_LIMITS = {
  /** RFC 5321 §4.5.3.1.1 */
  localPartOctets: 64,
  /** RFC 5321 §4.5.3.1.2 */
  domainOctets: 255,
  /** Path with its angle brackets and source route: RFC 5321 §4.5.3.1.3 */
  pathOctets: 256,
  /**
   * Command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512; with SIZE, BODY, SMTPUTF8, RET, ENVID and AUTH a MAIL
   * line may have 1,180.
   */
  commandLineOctets: 2048,
  /** A line of an AUTH exchange with its CRLF: RFC 4954 §4 */
  authLineOctets: 12_288,
  /** Reply line with its code and CRLF: RFC 5321 §4.5.3.1.5 */
  replyLineOctets: 512,
  /** Message line with its CRLF, without the dot of dot-stuffing: RFC 5321 §4.5.3.1.6 */
  textLineOctets: 1000,
  /** Recipients that a server must take: RFC 5321 §4.5.3.1.8 */
  recipients: 100,
  /** ENVID before decoding: RFC 3461 §4.4 */
  envidOctets: 100,
  /** ORCPT before decoding: RFC 3461 §4.2 */
  orcptOctets: 500,
  /** Digits of a SIZE value: RFC 1870 §6 */
  sizeDigits: 20,
} as const;
