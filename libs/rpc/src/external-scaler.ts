import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { GetMetricSpecResponse, GetMetricsResponse, IsActiveResponse, ScaledObjectRef } from './gen/externalscaler/externalscaler.ts';

/** One number of our own that KEDA scales by, as many replicas as it says. */
export interface ScalerNumber {
  readonly name: string;
  value(): number;
  /** Calls `listener` after each change; the returned function ends that. */
  onChange(listener: () => void): () => void;
}

/** KEDA's external scaler over the number. Active, which means at least one replica, as long as it is not 0. */
export function externalScalerHandlers({ name, value, onChange }: ScalerNumber): UntypedServiceImplementation {
  const answer =
    <T>(give: () => T) =>
    (_call: ServerUnaryCall<unknown, T>, callback: sendUnaryData<T>) =>
      callback(null, give());
  const isActive = (): IsActiveResponse => ({ result: value() > 0 });
  return {
    isActive: answer(isActive),
    getMetricSpec: answer<GetMetricSpecResponse>(() => ({ metricSpecs: [{ metricName: name, targetSize: 1, targetSizeFloat: 1 }] })),
    getMetrics: answer<GetMetricsResponse>(() => ({
      metricValues: [{ metricName: name, metricValue: value(), metricValueFloat: value() }],
    })),
    streamIsActive(call: ServerWritableStream<ScaledObjectRef, IsActiveResponse>) {
      let told: boolean | undefined;
      const tell = () => {
        const { result } = isActive();
        if (result === told) return;
        told = result;
        call.write({ result });
      };
      const end = onChange(tell);
      call.once('close', end);
      call.once('cancelled', end);
      tell();
    },
  };
}
