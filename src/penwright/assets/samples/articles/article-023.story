An understudy for a tree stole the show at Lower Pell Primary on Wednesday when he was called on at five minutes' notice.

Jacob Ferris, seven, had attended each rehearsal of The Enchanted Wood for nine weeks in case anything should happen to Second Oak. On the night, Second Oak was sick in the cloakroom.

The part has no lines. Drama teacher Miss Bellamy said that Jacob walked on, put his arms out and simply began to be there. By the second scene a number of parents had stopped watching the prince.

Grandmother Irene Salt, 80, in the third row, said that she had seen a leaf come off him and had wanted to cry. "There were no leaves," she added. "He was in a brown jumper."

During the storm, he swayed. In the sad part he did not, and that was worse.

When the lights went up a robin was found on his left arm. It is not known how it got into the hall, and it would not go until the caretaker had opened a window.

Jacob told the Gazette that he did not want to be typecast. He would like to be a hill next.

@highlight

Jacob Ferris, seven, replaced a sick classmate as a tree in a school play

@highlight

He had attended every rehearsal for nine weeks as understudy

@highlight

A robin was found sitting on his arm when the lights went up
