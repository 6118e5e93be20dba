/** A pod of a release, as the Kubernetes API and its own metrics tell. */
export interface PodReport {
  readonly pod: string;
  /** ingress, routing, delivery, mailbox, scaler or one. */
  readonly service: string;
  readonly node: string;
  readonly isReady: boolean;
  readonly restarts: number;
  readonly startedAtMs: number;
  readonly image: string;
  /** Fingerprint of the configuration that it was started with. */
  readonly config: string;
  /** Lanes that a delivery worker owns; absent for others, and when it does not answer. */
  readonly lanes?: number;
}

/** What an operator should look at, in words; empty: nothing. */
export function driftOf(pods: readonly PodReport[]): readonly string[] {
  const kinds = (of: (pod: PodReport) => string) => new Set(pods.map(of)).size;
  const silent = pods.filter(({ service, lanes, isReady }) => service === 'delivery' && isReady && lanes === undefined);
  return [
    ...(kinds(({ image }) => image) > 1 ? [`pods run ${kinds(({ image }) => image)} different images`] : []),
    ...(kinds(({ config }) => config) > 1 ? [`pods were started with ${kinds(({ config }) => config)} different configurations`] : []),
    ...pods.filter(({ isReady }) => !isReady).map(({ pod }) => `${pod} is not ready`),
    ...silent.map(({ pod }) => `${pod} does not tell its lanes`),
  ];
}
