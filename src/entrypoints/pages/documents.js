/** The form that puts pasted or picked documents into a collection. */

const LIMIT = 256 * 1024;
const OWN_DOCS = 'docs';

/** `add(params)` is called with `{collection_id, documents}` ready to be submitted. */
export class DocumentsForm {
  #dialog = document.getElementById('documents');
  #form = document.getElementById('documents-form');
  #target = document.getElementById('target');
  #title = document.getElementById('title');
  #content = document.getElementById('content');
  #files = document.getElementById('files');
  #error = document.getElementById('documents-error');
  #add;

  constructor(add) {
    this.#add = add;
    document.getElementById('open-documents').addEventListener('click', () => this.#open());
    document.getElementById('close-documents').addEventListener('click', () => this.#dialog.close());
    this.#target.addEventListener('change', () => (this.#target.value = nameFrom(this.#target.value)));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  #open() {
    this.#error.textContent = '';
    this.#dialog.showModal();
    this.#target.focus();
  }

  async #submit() {
    try {
      const params = { collection_id: this.#collection(), documents: await this.#documents() };
      checkSize(params);
      this.#form.reset();
      this.#dialog.close();
      this.#add(params);
    } catch (problem) {
      if (!(problem instanceof FormProblem)) throw problem;
      this.#error.textContent = problem.message;
      problem.field.focus();
    }
  }

  #collection() {
    const name = nameFrom(this.#target.value);
    if (!name) throw new FormProblem('Ponle nombre a la colección.', this.#target);
    if (name === OWN_DOCS) throw new FormProblem('«docs» es la documentación de Encola: elige otro nombre.', this.#target);
    return name;
  }

  async #documents() {
    const files = await Promise.all([...this.#files.files].map((file) => this.#read(file)));
    const documents = [...this.#pasted(), ...files];
    if (documents.length === 0) throw new FormProblem('Pega un texto o elige algún fichero.', this.#content);
    return documents;
  }

  #pasted() {
    const [title, content] = [this.#title.value.trim(), this.#content.value.trim()];
    if (!title && !content) return [];
    if (!title) throw new FormProblem('Al texto le falta un título.', this.#title);
    if (!content) throw new FormProblem('Falta el texto.', this.#content);
    return [{ title, content }];
  }

  async #read(file) {
    if (file.size > LIMIT) throw tooLarge(file.size, this.#files);
    try {
      const content = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
      return { title: file.name, content };
    } catch {
      throw new FormProblem(`«${file.name}» no se puede leer como texto UTF-8.`, this.#files);
    }
  }
}

class FormProblem extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

function checkSize(params) {
  const size = new TextEncoder().encode(JSON.stringify(params)).length;
  if (size > LIMIT) throw tooLarge(size, document.getElementById('content'));
}

const tooLarge = (size, field) =>
  new FormProblem(`Son ${Math.ceil(size / 1024)} KiB; caben 256 KiB a la vez.`, field);

/** Spells a name as the server wants it: «Mis notas» is `mis-notas`. */
const nameFrom = (text) =>
  text
    .trim()
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9._:@-]+/g, '-')
    .replace(/^-+|-+$/g, '');
