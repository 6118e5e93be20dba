export declare const KAFKA_VERSIONS: { readonly newest: string; readonly older: string };
export declare function fetchJars(version: string): string;
export declare function brokersMissing(version: string): string | undefined;
export declare function fetchKafka(): void;
