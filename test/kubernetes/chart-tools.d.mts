export declare const HELM_VERSION: string;
export declare const HELM: string;
export declare const VALIDATE: string;
export declare function fetchHelm(): string;
export declare function chartToolsMissing(): string | false;
export declare function fetchChartTools(): void;
