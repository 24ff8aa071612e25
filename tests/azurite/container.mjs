// Makes the container that the tests use.
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';

// Every Azurite has this account and this key.
const account = new StorageSharedKeyCredential(
  'devstoreaccount1',
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
);
const service = new BlobServiceClient(process.env.STENOD_AZURITE, account);
await service.getContainerClient('recordings').createIfNotExists();
