export declare const GATEWAY_VERSION: string;
export declare function fetchGateway(): string;
export declare function gatewayMissing(): string | undefined;
export declare function fetchS3(): void;
