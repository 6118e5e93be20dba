export declare const BIN: string;
export declare const CRDS: string;
export declare function fetchKubernetes(): void;
export declare function packagesMissing(): readonly string[];
