export const prefix: string = "got ";
