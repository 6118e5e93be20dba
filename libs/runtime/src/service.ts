/** A part with an ordered life. `stop` drains within its own limit and never rejects for what the world did. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}
