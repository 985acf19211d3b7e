/** The one screen of an insecure address: nothing else of the studio could work there. */
import './styles/tokens.css';

export function mountInsecure(target: HTMLElement): void {
  const main = document.createElement('main');
  main.className = 'insecure';
  const heading = document.createElement('h1');
  heading.textContent = 'Terrarium';
  const text = document.createElement('p');
  text.textContent =
    'This address is not secure, so the browser hides its graphics processor and storage. Ask for the https:// address.';
  main.append(heading, text);
  target.replaceChildren(main);
}
