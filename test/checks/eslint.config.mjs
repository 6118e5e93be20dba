import tseslint from 'typescript-eslint';

// Biome formats and lints; this adds only what needs types, and the size rules.
export default tseslint.config(
  {
    files: ['libs/*/src/**/*.ts', 'services/*/src/**/*.ts', 'deploy/**/*.ts', 'test/**/*.ts'],
    ignores: ['**/src/gen/**'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { project: '../../tsconfig.base.json', tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite'] }] },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/return-await': ['error', 'in-try-catch'],
      'max-params': ['error', 4],
      'max-lines': ['error', 400],
    },
  },
  {
    files: ['libs/*/src/**/*.ts', 'services/*/src/**/*.ts'],
    ignores: ['**/src/gen/**', '**/*.test.ts', '**/contract.ts'],
    rules: { 'max-lines-per-function': ['error', { max: 60 }] },
  },
);
